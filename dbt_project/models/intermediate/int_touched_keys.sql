-- One row per order, customer or product that this build makes anew, the other two keys null:
-- those in changed files, and those of changed orders, as the marts show them still and as staging
-- has them now. It keeps its rows until a build ends well, because a build that failed halfway has
-- already moved some marts on.
{%- set keys = 'order_id, customer_id, product_id' %}
{%- set staged = [
    (ref('int_orders'), 'order_id', 'null::text', 'null::text', 'ordered_date'),
    (ref('int_order_lines'), 'order_id', 'customer_id', 'product_id', 'ordered_date'),
] %}
{%- set built = [
    (built_relation('fct_order_items'), 'order_id', 'customer_id', 'product_id', 'ordered_date'),
    (built_relation('fct_refunds'), 'refund_id', 'customer_id', 'product_id', 'refunded_date'),
    (built_relation('fct_charges'), 'order_id', 'customer_id', 'null', 'charged_date'),
] %}
with

changed_keys as (

    select * from {{ ref('int_changed_keys') }}

),

build_cycle as (

    select distinct build_cycle from {{ ref('stg_ops__landed_files') }}

),

lines as (

    {% for table, order_id, customer_id, product_id, ordered_date
        in (staged + built if is_incremental() else staged[:1]) if table %}
    {{ 'union all' if not loop.first }}
    select
        {{ order_id }} as order_id,
        {{ customer_id }} as customer_id,
        {{ product_id }} as product_id,
        {{ ordered_date }} as ordered_date

    from {{ table }}
    where {{ order_id }} in (select order_id from changed_keys)
    {% endfor %}

),

touched_keys as (

    select
        {{ keys }},
        min(ordered_date) as first_touched_date

    from lines
    group by grouping sets ((order_id), (customer_id), (product_id))

    union all

    select
        {{ keys }},
        null as first_touched_date

    from changed_keys

    {% if is_incremental() %}
    union all

    select
        {{ keys }},
        first_touched_date

    from {{ this }}
    where build_cycle in (select build_cycle from build_cycle)
    {% endif %}

)

select
    {{ keys }},
    min(first_touched_date) as first_touched_date,
    build_cycle.build_cycle

from touched_keys
cross join build_cycle
where num_nonnulls({{ keys }}) > 0
group by {{ keys }}, build_cycle.build_cycle
