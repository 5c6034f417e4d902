"""What the specifications demand of the server, and the tests that show it: a catalogue per specification."""
