"""A stand-in for abra, to practise and to test on: it acts on a real Engine, and misbehaves on order."""
