"""shengpay"""
