"""The order of events in virtual time: who comes when, and what the coordinator is asked."""
