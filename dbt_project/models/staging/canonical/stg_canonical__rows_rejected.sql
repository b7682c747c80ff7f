-- One row per row of an accepted file that counts nowhere, of all five tables, with the reason.
{% for table_name in ['customers', 'products', 'contacts'] %}
select
    '{{ table_name }}' as table_name,
    file_id,
    line_number,
    null as order_id,
    {{ "nullif(product_id, '')" if table_name == 'products' else 'null' }} as product_id,
    null as country,
    null::date as ordered_date,
    null::numeric as sent_amount,
    rejected_reason,
    false as is_unread

from {{ ref('stg_canonical__' ~ table_name ~ '_judged') }}
where rejected_reason is not null

union all

select
    '{{ table_name }}' as table_name,
    file_id,
    line_number,
    null as order_id,
    null as product_id,
    null as country,
    null as ordered_date,
    null as sent_amount,
    rejected_reason,
    true as is_unread

from ({{ unread_records('canonical_' ~ table_name) }}) as unread

union all
{% endfor %}
select
    'orders' as table_name,
    file_id,
    line_number,
    order_id,
    null as product_id,
    country,
    ordered_date,
    null as sent_amount,
    rejected_reason,
    is_unread

from {{ ref('stg_canonical__orders_rejected') }}

union all

select
    'order_items' as table_name,
    file_id,
    line_number,
    order_id,
    product_id,
    country,
    ordered_date,
    sent_amount,
    rejected_reason,
    is_unread

from {{ ref('stg_canonical__order_items_rejected') }}
