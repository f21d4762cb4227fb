"""The torch side of this plugin, imported when a part builds."""
