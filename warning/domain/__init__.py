"""What a dam warning is made of: pure values and rules on numpy and the standard library."""
