"""Pages for people: the operator's dashboard, and the phone page with what it may know before its owner agrees."""
