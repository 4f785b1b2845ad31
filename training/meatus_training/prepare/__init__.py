"""The challenge's folders, checked and written once as what the networks see."""
