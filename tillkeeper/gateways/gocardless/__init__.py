"""gocardless"""
