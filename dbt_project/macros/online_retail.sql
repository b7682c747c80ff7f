{# Keys of a flat invoice line, written one way whatever the case and blanks in the file. #}
{% macro online_retail_keys() -%}
    upper({{ as_id('invoice') }}) as order_id,
    nullif(upper({{ as_id('stock_code') }}), '') as product_id,
    -- numbers came through a spreadsheet: 13085.0
    nullif(regexp_replace({{ as_id('customer_id') }}, '\.0+$', ''), '') as customer_id
{%- endmacro %}
