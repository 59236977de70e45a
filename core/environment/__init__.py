"""What a process is given from outside: the network's settings, the user's folders."""
