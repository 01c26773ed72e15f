"""klarna"""
