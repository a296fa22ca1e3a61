"""What in a data set would make a detector's numbers misleading."""
