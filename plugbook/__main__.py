"""``python -m plugbook``: the terminal command, on the interpreter that was named."""

from plugbook.cli import main

if __name__ == "__main__":
    main(prog_name="plugbook")
