"""The open project and its running work, without widgets."""
