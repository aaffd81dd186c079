"""`parley doctor`: looks at everything a call needs, and says in one sentence each what is wrong and what to do."""
