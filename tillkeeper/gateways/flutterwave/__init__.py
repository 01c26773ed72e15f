"""flutterwave"""
