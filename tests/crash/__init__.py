"""What survives `kill -9`: real servers, real sockets, a log kept by a process that is not killed."""
