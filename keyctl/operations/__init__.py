"""One module per thing that people want to do: each takes a session and an Asker, returns a result, prints nothing."""
