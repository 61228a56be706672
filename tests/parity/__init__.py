"""This project's numbers against those of the papers' official code: `python -m tests.parity FOLDER`."""
