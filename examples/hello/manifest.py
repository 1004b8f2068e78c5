# Modules to freeze into the firmware.
module("hello.py")
