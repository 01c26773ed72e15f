"""Alipay (支付宝) by its open platform: opendocs.alipay.com, pages 异步通知 and alipay.trade.query."""
