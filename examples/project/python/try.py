# For the emulated board, whose port freezes nothing of its own.
module("app.py")
