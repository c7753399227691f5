"""What a verb does, apart from its command line: each takes typed requests, tells a listener, and returns a result."""
