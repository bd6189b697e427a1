"""The conformance kit: scenarios written once, spoken to a real gateway in the words of every protocol."""
