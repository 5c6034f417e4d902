"""The operator's commands: `tokenhouse COMMAND`."""
