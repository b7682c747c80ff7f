{#
Items of products that this build touches, from the week of a product's first touched day on; in a full build all items.
Product by product along the index: most products sell every day, and nearly all that is asked of them is new. `order by` keeps
it from being planned as a join with all items. Part of the rules (macros/rules.sql).
#}
{% macro touched_items() -%}
    {%- set touched_keys, order_items = ref('int_touched_keys'), ref('fct_order_items') -%}
    {%- if is_partial() -%}
    select touched_items.*
    from {{ touched_keys }} as touched
    cross join lateral (
        select items.* from {{ order_items }} as items
        where
            items.product_id = touched.product_id
            and items.ordered_date >= date_trunc('week', touched.first_touched_date)::date
        order by items.ordered_date
    ) as touched_items
    where touched.product_id is not null and touched.first_touched_date is not null
    {%- else -%}
    select * from {{ order_items }}
    {%- endif -%}
{%- endmacro %}
