"""square"""
