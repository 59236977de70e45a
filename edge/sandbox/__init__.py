"""The runtime in a process of its own that can do nothing but compute: see `fedrela.edge.sandbox.process`."""
