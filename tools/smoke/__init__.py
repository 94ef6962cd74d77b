"""Check a deployed endpoint over HTTP: is it up, is it right, does it reject what it must reject?"""
