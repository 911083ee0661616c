"""The book of answers that were given: opened, written to, commented, reviewed, read by those who may."""
