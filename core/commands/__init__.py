"""What the command line answers: one file a system, each with `answers`, `lines` and `write`.

`answers(arguments, failed)` yields one JSON-ready result an input and adds (input, reason) for what cannot be read;
`lines(result)` is the same for a reader; `write(folder, results)` leaves files.
"""
