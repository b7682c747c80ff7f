{# Keys of a flat invoice line, in one form whatever the case and blanks in the file. #}
{% macro online_retail_keys() -%}
    upper({{ as_id('invoice') }}) as order_id,
    nullif(upper({{ as_id('stock_code') }}), '') as product_id,
    -- the shop sends no list of customers, so 0 always means a guest
    case
        when {{ is_guest_code('customer_id') }} then null
        else {{ as_customer_id('customer_id') }}
    end as customer_id
{%- endmacro %}
