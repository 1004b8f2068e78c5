"""A module that lives in the firmware as bytecode."""

import sys
import triangle


def greet():
    name, version = sys.implementation[0], ".".join(str(n) for n in sys.implementation[1][:3])
    return f"{name} {version} on {sys.platform}, built by micropython-builder"


def sums(limit):
    return [triangle.number(n) for n in range(limit)]
