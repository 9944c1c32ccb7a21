"""The Windows installer: payload, launchers, setup."""
