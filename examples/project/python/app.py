"""Frozen into the firmware: `import app` at the prompt."""

import answer


def main():
    print("The answer is", answer.get())
