"""What a verb does, apart from its command line: typed requests in, a listener told, a result returned."""
