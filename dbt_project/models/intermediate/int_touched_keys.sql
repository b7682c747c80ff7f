-- One row per order, customer or product that this build makes anew, the other two keys null:
-- those in changed files, and those of changed orders, as the marts show them still and as staging
-- has them now. It keeps its rows until a build ends well, because a build that failed halfway has
-- already moved some marts on.
-- depends_on: {{ ref('int_order_lines') }}
with

changed_keys as (

    select * from {{ ref('int_changed_keys') }}

),

build_cycle as (

    select distinct build_cycle from {{ ref('stg_ops__landed_files') }}

),

orders_now as (

    select
        order_id,
        ordered_date

    from {{ ref('int_orders') }}
    where order_id in (select order_id from changed_keys)

),

lines as (

    select
        order_id,
        null::text as customer_id,
        null::text as product_id,
        ordered_date

    from orders_now

    {% if is_incremental() %}
    union all

    select
        order_id,
        customer_id,
        product_id,
        ordered_date

    from {{ ref('int_order_lines') }}
    where order_id in (select order_id from changed_keys)

    {% for mart, order_id, product_id, ordered_date in [
        ('fct_order_items', 'order_id', 'product_id', 'ordered_date'),
        ('fct_refunds', 'refund_id', 'product_id', 'refunded_date'),
        ('fct_charges', 'order_id', 'null', 'charged_date'),
    ] if built_relation(mart) %}
    union all

    select
        {{ order_id }} as order_id,
        customer_id,
        {{ product_id }} as product_id,
        {{ ordered_date }} as ordered_date

    from {{ built_relation(mart) }}
    where {{ order_id }} in (select order_id from changed_keys)
    {% endfor %}
    {% endif %}

),

touched_keys as (

    select
        order_id,
        customer_id,
        product_id,
        min(ordered_date) as first_touched_date

    from lines

    group by grouping sets ((order_id), (customer_id), (product_id))

    union all

    select
        order_id,
        customer_id,
        product_id,
        null as first_touched_date

    from changed_keys

    {% if is_incremental() %}
    union all

    select
        order_id,
        customer_id,
        product_id,
        first_touched_date

    from {{ this }}
    where build_cycle in (select build_cycle from build_cycle)
    {% endif %}

)

select
    touched_keys.order_id,
    touched_keys.customer_id,
    touched_keys.product_id,
    min(touched_keys.first_touched_date) as first_touched_date,
    build_cycle.build_cycle

from touched_keys

cross join build_cycle

where coalesce(touched_keys.order_id, touched_keys.customer_id, touched_keys.product_id) is not null

group by
    touched_keys.order_id,
    touched_keys.customer_id,
    touched_keys.product_id,
    build_cycle.build_cycle
