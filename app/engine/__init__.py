"""The child processes that run the library, their messages, and the threads that talk to them.  Imports nothing."""
