-- One row per changed file and order, product, contact or customer that stands in it. Read from
-- raw, which keeps the rows of refused files too. A customer who becomes known, or unknown, touches
-- their orders; those in files that did not change stand where the build before has left them. Of a
-- build that broke off others may stand there, too: they are not looked at, so that the list is the
-- same.
{%- set judged_orders = built_relation('stg_canonical__orders_judged', 'staging') %}
{%- set judged_customers = built_relation('stg_canonical__customers_judged', 'staging') %}
with

files as (

    select * from {{ ref('stg_ops__landed_files') }}

),

customers as (

    select
        _file_id as file_id,
        {{ as_customer_id('customer_id') }} as customer_id

    from {{ source('raw', 'canonical_customers') }}
    where _file_id in (select file_id from files where is_changed)

)

{% for table_name, order_id, product_id, contact_id in [
    ('canonical_orders', as_id('order_id'), 'null', 'null'),
    ('canonical_order_items', as_id('order_id'), 'null', 'null'),
    ('canonical_products', 'null', as_id('product_id'), 'null'),
    ('canonical_contacts', 'null', 'null', as_id('contact_id')),
] %}
select
    _file_id as file_id,
    {{ order_id }} as order_id,
    {{ product_id }} as product_id,
    null as customer_id,
    {{ contact_id }} as contact_id

from {{ source('raw', table_name) }}
where _file_id in (select file_id from files where is_changed)

union
{% endfor %}
{% if judged_orders and judged_customers and not are_rules_changed() %}
select
    customers.file_id,
    orders.order_id,
    null as product_id,
    null as customer_id,
    null as contact_id

from customers

inner join {{ judged_orders }} as orders
    on customers.customer_id = orders.sent_customer_id

where
    orders.file_id not in (select file_id from files where is_changed)
    -- known by a row that could be read; `not in` would compare each with all, where they are
    -- too many for a hash in memory
    and not exists (
        select
        from {{ judged_customers }} as unchanged
        where
            unchanged.file_id in (select file_id from files where is_accepted and not is_changed)
            and unchanged.row_fault is null
            and unchanged.customer_id = customers.customer_id
    )

union
{% endif %}
select
    file_id,
    null as order_id,
    null as product_id,
    customer_id,
    null as contact_id

from customers
