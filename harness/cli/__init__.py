"""The command line. Each verb is a small file; what is heavy is imported when it is called."""
