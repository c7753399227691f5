"""The application behind the verbs: a typed request in, progress to a listener, a typed result out."""
