"""How the code of a running plugin is changed: its state as plain data, its modules afresh, and what stays behind."""
