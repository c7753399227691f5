"""The application behind the commands: a typed request in, a typed result out, progress to a listener."""
