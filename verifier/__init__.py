"""Checks receipts and heads without the rest of the program: copy it, port it, read it in one sitting."""
