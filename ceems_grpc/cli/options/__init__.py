"""The options of the commands, as argparse reads and shows them."""
