"""The application behind the verbs: a typed request in, a typed result out, progress to a listener."""
