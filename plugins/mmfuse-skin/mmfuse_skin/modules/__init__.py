"""What the parts of this plugin build: their torch modules, imported when one is built."""
