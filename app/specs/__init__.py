"""Pure modules, one per specification: values in, values out, no input or output of their own."""
