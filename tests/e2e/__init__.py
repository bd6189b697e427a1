"""The product as its users run it: commands as processes, in a folder of their own, on free ports."""
