"""ShengPay (盛付通) H5 quick pay: the documents in ShengPay's repository shengpay-h5-pay-integration."""
