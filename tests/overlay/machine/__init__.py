"""A state machine that works on a real mount by chance, and asks after every few steps whether the model is right."""
